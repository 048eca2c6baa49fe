"""Code pages that the names in zips were written in, and how likely a character is in each."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

STANDARD = "cp437"
RARE = -14.0  # nats, for a character that no name of that language should have

LogProbability = Callable[[str], float]


@dataclass(frozen=True)
class CodePage:
    """``label`` for messages; ``letter`` is the log probability of a character beyond ASCII."""

    codec: str
    label: str
    letter: LogProbability
    mixes: bool = False
    """Its letters form words with those of ASCII."""
    wide: bool = False
    """Its characters take several bytes, which few texts in another code page do by chance."""
    prior: float = 0.0
    """Log odds, for a code page that few programs ever wrote."""


@functools.cache
def code_pages() -> tuple[CodePage, ...]:
    """The common ones, the likelier first where two read a name as the same text."""
    western = _letters(WESTERN, 0.07)
    central = _letters(CENTRAL, 0.04)
    turkish = _letters(TURKISH, 0.1)
    russian = _letters(CYRILLIC)
    return (
        CodePage(STANDARD, "cp437 (Western European)", western, mixes=True),
        CodePage("cp850", "cp850 (Western European)", western, mixes=True),
        CodePage("cp1252", "Windows-1252 (Western European)", western, mixes=True),
        CodePage("cp852", "cp852 (Central European)", central, mixes=True),
        CodePage("cp1250", "Windows-1250 (Central European)", central, mixes=True),
        CodePage("cp857", "cp857 (Turkish)", turkish, mixes=True),
        CodePage("cp1254", "Windows-1254 (Turkish)", turkish, mixes=True),
        CodePage("cp866", "cp866 (Cyrillic)", russian),
        CodePage("cp1251", "Windows-1251 (Cyrillic)", russian),
        CodePage("koi8_r", "KOI8-R (Cyrillic)", russian, prior=-5),
        CodePage("cp737", "cp737 (Greek)", _letters(GREEK), prior=-3),
        CodePage("cp1253", "Windows-1253 (Greek)", _letters(GREEK), prior=-3),
        CodePage("cp932", "Shift-JIS (Japanese)", _japanese, wide=True),
        CodePage("euc_jp", "EUC-JP (Japanese)", _japanese, prior=-5, wide=True),
        CodePage(
            "gb18030", "GBK (Chinese)", _chinese("gb2312", b"\xb0\xa1", b"\xd7\xf9"), wide=True
        ),
        CodePage("cp950", "Big5 (Chinese)", _chinese("cp950", b"\xa4\x40", b"\xc6\x7e"), wide=True),
        CodePage("cp949", "EUC-KR (Korean)", _korean, wide=True),
    )


# From the commonest letter to the rarest.
WESTERN = "éäüöèáíóñçàãßêôâåøæúîïëõûìòùœÿ"
CENTRAL = "áíéěščřžýůúłąęśćżźńóőűüöäăâîțşţđťďňôľĺŕ"
TURKISH = "ışğüçöâîû"
CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфіїёєъґў"
GREEK = "αοιετσνηυρπκμλωςγδχθφβξζψάίόέήύώϊϋ"
KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc\u3005]")
# Common in texts, or as the names of things; traditional forms follow the simplified ones.
COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家"
    "学对可里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经"
    "头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿"
    "者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听"
    "世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马"
    "命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解"
    "各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃义科怎元"
    "社术结六功指思非流每青管夫连远资队跟带花快条院变联言权往展该领传近留红治决周保达办运武半"
    "候七必城父强步完革深区即求品士转量空甚众技轻程告江语英基派满式李息写呢识极令黄德收脸钱党"
    "倒未持取设始版双历越史商千片容研像找友孩站广改议形委早房音火际则首单据导影失拿网香似斯专"
    "石若兵弟谁校读志飞观争究包组造落视济喜离虽坏兴切且药"
    "猫狗犬鸟鱼牛羊猪鸡鸭鹅兔虎狮熊猴蛇鼠狼狐豹鹿驼虫蝶蜂蚁蜘蛛龟蛙鲸鲨虾蟹鹰鸽企"
    "树草叶木竹根苗麦米稻豆菜瓜苹梨桃橙葡萄蕉莓茶酒肉蛋奶饭糖盐油玉番茄椒葱蒜薯"
    "桌椅床窗墙灯笔纸杯碗盘刀剪伞鞋帽衣裤裙袜包球船艇机汽卡摩托自行桥楼塔屋厂田河湖雪雨云雾冰沙"
    "健康病正常异裂缝良恶肿瘤类训练测试验证集图片照狗只数据缺陷坏损伤"
    "這個來時說國們為學對過後會還發經見頭無開從動兩長現將與實點種聲話兒問機給幾業間電門東關並"
    "內軍產萬體處總場師書員華報馬張難車應親務連隊帶條變聯權領傳運強轉眾輕語滿寫識極黃錢黨"
    "貓鳥魚豬雞鴨鵝獅龜鯨鯊蝦蟹鷹鴿樹葉麥蘋蔥燈筆紙傘褲襪橋樓廠雲霧圖訓練測驗證"
)
# Shares of the jamo in Korean text, in percent, in the order of Unicode.
INITIALS = (13, 1, 6, 9, 1, 7, 6, 6, 0.5, 9, 0.8, 23, 9, 0.5, 3, 1.2, 2, 2, 7)
VOWELS = (20, 5, 0.6, 0.1, 10, 4, 6, 0.5, 11, 2, 0.4, 1, 2, 8, 1, 0.3, 1, 1, 9, 2, 15)
FINALS = (
    *(55, 6, 0.2, 0.05, 14, 0.05, 0.2, 0.4, 8, 0.2, 0.1, 0.1, 0.02, 0.05, 0.02, 0.05),
    *(4, 2.2, 0.4, 2, 3, 8, 0.4, 0.3, 0.1, 0.5, 0.4, 0.3),
)


def _letters(ranked: str, share: float = 1.0) -> LogProbability:
    """For an alphabet, of which ``share`` lies beyond ASCII."""
    weights = {letter: math.exp(-rank / 9) for rank, letter in enumerate(ranked)}
    total = sum(weights.values())
    table = {letter: math.log(share * weight / total) for letter, weight in weights.items()}
    capitals = {own.upper(): value - 1 for own, value in table.items() if len(own.upper()) == 1}
    table = capitals | table
    return lambda letter: table.get(letter, _other(letter))


def _other(letter: str) -> float:
    """A letter of no alphabet in question, or a sign."""
    if letter.isalpha() or unicodedata.category(letter) in ("Pd", "Ps", "Pe", "Pi", "Pf", "Po"):
        return RARE + 3
    return RARE


def _chinese(codec: str, first: bytes, last: bytes) -> LogProbability:
    """For the characters that ``codec`` lists first, from ``first`` to ``last``: those in use."""

    def letter(one: str) -> float:
        if one in COMMON_CHINESE:
            return math.log(0.6 / len(COMMON_CHINESE))
        code = one.encode(codec, "ignore")
        if first <= code <= last and len(code) == 2:
            return math.log(0.4 / 4000)
        return RARE - 1

    return letter


def _japanese(one: str) -> float:
    if KANA.fullmatch(one):
        return math.log(0.5 / 85)
    code = one.encode("cp932", "ignore")
    if len(code) == 2 and b"\x88\x9f" <= code <= b"\x98\x72":  # the kanji in use
        return math.log(0.45 / 1500)
    return RARE - 1 if len(code) == 2 else RARE + 4  # half-width kana take one byte


def _korean(one: str) -> float:
    number = ord(one) - 0xAC00
    if not 0 <= number < 19 * 21 * 28:
        return RARE - 1
    rest, final = divmod(number, 28)
    initial, vowel = divmod(rest, 21)
    value = sum(
        math.log(shares[index] / sum(shares))
        for shares, index in ((INITIALS, initial), (VOWELS, vowel), (FINALS, final))
    )
    # Of the 11,172 syllables, the 2,350 in use have a place in the national standard.
    return value if one.encode("euc_kr", "ignore") else value - 5
