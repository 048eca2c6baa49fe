"""The usual architectures, small ones and large ones."""

from __future__ import annotations

import torch
from onnx_files import randomised
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.densenet import DenseNet
from torchvision.models.swin_transformer import SwinTransformer

from prospr_engine.models.build import build

BLOCKS = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]
WHOLE = {"num_classes": 10}
PLAIN = {**WHOLE, "init_weights": False, "aux_logits": False}


def of_timm(name):
    import timm  # takes seconds, which only slow tests need

    return timm.create_model(name, **WHOLE)


SMALL = {
    "convnext": (lambda: ConvNeXt(BLOCKS, num_classes=10), 32),
    "densenet": (lambda: DenseNet(4, (2, 2, 2), 8, num_classes=10), 64),
    "vit": (lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=10), 32),
    "swin": (lambda: SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=10), 64),
    "small_cnn": (lambda: build("small_cnn", (3, 32, 32), 10), 32),
}
LARGE = {
    "alexnet": (lambda: models.alexnet(**WHOLE), 64),
    "efficientnet": (lambda: models.efficientnet_b0(**WHOLE), 64),
    "googlenet": (lambda: models.googlenet(**PLAIN), 64),
    "inception": (lambda: models.inception_v3(**PLAIN), 96),
    "mnasnet": (lambda: models.mnasnet0_5(**WHOLE), 64),
    "mobilenet_v2": (lambda: models.mobilenet_v2(**WHOLE, width_mult=0.25), 64),
    "mobilenet_v3": (lambda: models.mobilenet_v3_small(**WHOLE, width_mult=0.5), 64),
    "regnet": (lambda: models.regnet_y_400mf(**WHOLE), 64),
    "resnet18": (lambda: models.resnet18(**WHOLE), 64),
    "shufflenet": (lambda: models.shufflenet_v2_x0_5(**WHOLE), 64),
    "squeezenet": (lambda: models.squeezenet1_1(**WHOLE), 64),
    "vgg11_bn": (lambda: models.vgg11_bn(**WHOLE), 32),
    "vgg16": (lambda: build("vgg16_bn", (3, 32, 32), 10), 32),
    "wrn": (lambda: build("wrn28_2", (3, 32, 32), 10), 32),
    **{
        f"timm_{name}": (lambda name=name: of_timm(name), size)
        for name, size in {
            "coat_lite_tiny": 224,
            "edgenext_xx_small": 256,
            "ghostnet_050": 64,
            "levit_128s": 224,
            "mixer_s32_224": 224,
            "nf_resnet26": 64,
            "poolformer_s12": 224,
            "resnet10t": 64,
            "skresnet18": 64,
            "tf_efficientnetv2_b0": 64,
            "xception41": 64,
        }.items()
    },
}


def network_and_images(name):
    make, size = (SMALL | LARGE)[name]
    torch.manual_seed(0)
    network = randomised(make())
    for module in network.modules():  # layers that start as zero would hide what is behind them
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    return network, torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
