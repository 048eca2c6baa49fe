"""Which folder names say training, validation or test part.

People write ``train``, ``Training``, ``train_images``, ``seg_train``, ``training_set``,
``TrainData``, ``asl_alphabet_train``, ``dev`` and ``eval``, in any language. Such a word is not
enough: ``training_real`` and ``training_fake`` may be classes. So what else the names say must be
the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

UNLABELLED = "unlabelled"
"""Images without classes, such as those that a competition wants classified."""
EVALUATION = "evaluation"
"""The test part beside a validation part, else the validation part."""
TRAINING = (
    "train training trainings trn trainval xtrain"
    " entrenamiento entrenar entrainement apprentissage treino treinamento addestramento"
    " trening treningowe treningowy treningowa egitim latih pelatihan"
    " обучение обучающая обучающий обучающие тренировка тренировочная тренировочный тренировочные"
    " 训练 訓練 训练集 訓練集 学習 학습 훈련"
)
TEST = (
    "test tests testing tst holdout xtest"
    " prueba pruebas essai teste testes prova testen testowe testowy testowa uji pengujian"
    " тест тестовая тестовый тестовые тестирование 测试 測試 テスト 테스트 시험"
)
VALIDATION = (
    "val valid validation dev development xval"
    " validacion validacao convalida validazione validierung validierungs validatie walidacja"
    " walidacyjne dogrulama validasi валидация валидационная валидационный проверка проверочная"
    " 验证 驗證 検証 검증"
)
EVALUATING = (
    "eval evaluate evaluation evaluacion avaliacao auswertung evaluierung оценка 评估 評価 평가"
)
WITHOUT_CLASSES = (
    "pred predict prediction predictions unlabeled unlabelled unlabel submission inference"
)
FILLING = (
    "data dataset datasets set sets split splits subset part seg image images img imgs picture"
    " pictures photo photos pic pics folder folders dir file files sample samples jpg jpeg png"
    " datos conjunto imagenes donnees jeu dados imagens dati immagini daten datensatz satz bilder"
    " bild dane zdjecia obrazy veri данные выборка набор изображения фото"
    " 集 数据 數據 数据集 資料 图片 圖片 图像 用 データ データセット 画像 데이터 이미지 세트"
)
ANNOTATING = (
    "mask masks label labels annot annots anno annotation annotations segmentation segmentations"
    " ground truth groundtruth gt bbox bboxes boxes xml xmls trimap trimaps"
)
"""What lies beside the images of sets for detection and segmentation."""


def _plain(text: str) -> str:
    """Without the accents of Latin and Cyrillic letters, and composed."""
    marks = re.compile("[\u0300-\u036f]")
    return unicodedata.normalize("NFC", marks.sub("", unicodedata.normalize("NFD", text)))


def _set(text: str) -> frozenset[str]:
    return frozenset(_plain(text).split())


WORDS = {
    word: part
    for part, all_words in (
        ("train", TRAINING),
        ("test", TEST),
        ("validation", VALIDATION),
        (EVALUATION, EVALUATING),
        (UNLABELLED, WITHOUT_CLASSES),
    )
    for word in _set(all_words)
}
FILLERS, ANNOTATIONS = _set(FILLING), _set(ANNOTATING)
PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")  # digits say nothing
HOLD_OUT = re.compile(r"hold[ _-]?out", re.IGNORECASE)


def parts_among(names: Iterable[str]) -> dict[str, str]:
    """The part of each of ``names``, folders side by side, that is named like one; ``"train"``,
    ``"validation"``, ``"test"`` or ``UNLABELLED``."""
    said = {name: _said(name) for name in names}
    groups: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name, (part, rest) in said.items():
        if part:
            groups[rest][name] = part
    complete = [
        own for own in groups.values() if "train" in own.values() and len({*own.values()}) > 1
    ]
    known = groups[()] if groups[()] in complete or not complete else complete[0]
    if known in complete:
        known |= {name: part for name, (part, _) in said.items() if part == UNLABELLED}
    evaluation = "validation"
    if "validation" in known.values() and "test" not in known.values():
        evaluation = "test"
    return {name: evaluation if part == EVALUATION else part for name, part in known.items()}


def says_part(name: str, part: str) -> bool:
    """Whether ``name`` is that of a part, or of such a part and more."""
    return _said(name)[0] == part


def is_filler(name: str, parts: bool = False) -> bool:
    """Whether the name only says that there are images: ``images``, ``Data``; or with ``parts``,
    in which part."""
    pieces = [*words(name)]
    return bool(pieces) and all(piece in FILLERS or (parts and piece in WORDS) for piece in pieces)


def is_annotation(name: str) -> bool:
    """Whether the name says that there are masks or boxes of images."""
    return any(piece in ANNOTATIONS for piece in words(name))


def words(name: str) -> Iterator[str]:
    """The words in a name, in lower case and without accents; digits are left out."""
    for piece in map(str.lower, PIECE.findall(HOLD_OUT.sub("holdout", _plain(name)))):
        yield from _halves(piece)


def _said(name: str) -> tuple[str, tuple[str, ...]]:
    """The part that ``name`` says ("" if none, or several) and what else it says."""
    pieces = [*words(name)]
    parts = {WORDS[piece] for piece in pieces if piece in WORDS}
    if parts == {"train", "validation"}:  # both in one
        parts = {"train"}
    rest = tuple(piece for piece in pieces if piece not in WORDS and piece not in FILLERS)
    return (parts.pop(), rest) if len(parts) == 1 else ("", rest)


def _halves(piece: str) -> tuple[str, ...]:
    """``trainset`` as ``train`` and ``set``."""
    if piece not in WORDS and piece not in FILLERS:
        for at in range(1, len(piece)):
            halves = piece[:at], piece[at:]
            if any(half in WORDS for half in halves) and any(
                half in FILLERS or half in ANNOTATIONS for half in halves
            ):
                return halves
    return (piece,)
