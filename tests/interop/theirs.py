"""Networks of diffusers with weights drawn at random, the zeros of their start too."""

from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

# What google/ddpm-cifar10-32, google/ddpm-celebahq-256 and google/ddpm-church-256 say of their networks.
DDPM = {
    "act_fn": "silu",
    "attention_head_dim": None,
    "center_input_sample": False,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "time_embedding_type": "positional",
}
CIFAR10 = DDPM | {
    "sample_size": 32,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
}
CELEBAHQ = DDPM | {
    "sample_size": 256,
    "block_out_channels": (128, 128, 256, 256, 512, 512),
    "down_block_types": (*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
}
SMALL = DDPM | {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}


def theirs_of(**config) -> UNet2DModel:
    """A network whose output is of the size of 1."""
    torch.manual_seed(0)
    model = UNet2DModel(**config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.3)
            else:
                parameter.normal_(0, 0.3 if parameter.dim() == 1 else parameter[0].numel() ** -0.5)
    return model.eval()


def pipeline(folder: Path, network: dict | None = None, **scheduler) -> Path:
    """A pipeline as diffusers saves one."""
    scheduler = {"num_train_timesteps": 50, "variance_type": "fixed_large"} | scheduler
    DDPMPipeline(theirs_of(**SMALL | (network or {})), DDPMScheduler(**scheduler)).save_pretrained(folder)
    return folder
