"""The image encoders of CLIP, whose features CMMD compares."""

from warnings import catch_warnings, simplefilter

from torch import nn

from difflab.errors import ConfigError
from difflab.features.pretrained import Pretrained
from difflab.features.weights import brief, obtain

# Number of features, and the side to which pictures are resized.
MODELS = {
    "clip-rn50": (1024, 224),
    "clip-rn101": (512, 224),
    "clip-rn50x4": (640, 288),
    "clip-rn50x16": (768, 384),
    "clip-rn50x64": (1024, 448),
    "clip-vit-b-32": (512, 224),
    "clip-vit-b-16": (512, 224),
    "clip-vit-l-14": (768, 224),
    "clip-vit-l-14-336px": (768, 336),
}


class CLIP(Pretrained):
    """Image embeddings of Radford et al. (2021), not normalised, through torch-fidelity.

    The resize is torch-fidelity's (bilinear, as TensorFlow 1); the authors of CMMD resize bicubically, so that figures
    of upscaled pictures are near theirs and not equal.

    Args:
        model: torch-fidelity's name of it.
        weights: path of a file; None looks in torch's cache and downloads it there.
        checked: whether only the published file is taken; any other that fits is taken without, and CMMD is not
            computed on it.
        batch: pictures the network sees at once.

    Raises:
        ConfigError: for a model that is not there.
    """

    name = "clip"

    def __init__(self, model: str, weights: str | None, checked: bool, batch: int) -> None:
        super().__init__(batch)
        if model not in MODELS:
            raise ConfigError(f"features.model: {model}; allowed are {', '.join(MODELS)}")
        self.model, self.weights, self.checked = model, weights, checked
        self.dimension, self.side = MODELS[model]
        self.preprocessing = f"torch-fidelity, {model}, bilinear as TensorFlow 1 to {self.side}x{self.side}"
        self.cmmd = checked and model == "clip-vit-l-14-336px"

    def load(self) -> nn.Module:
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS, FeatureExtractorCLIP

        sha256 = MODEL_METADATA[self.model]["hash"]
        path = obtain(
            self.weights, f"{self.model}-{sha256}.pt", MODEL_URLS[self.model], sha256 if self.checked else None
        )
        try:
            with catch_warnings():
                simplefilter("ignore", FutureWarning)  # the published files are TorchScript, which torch gives up
                network = FeatureExtractorCLIP(self.model, ["clip"], str(path))
            visual = network.model.visual
            found = visual.output_dim, visual.input_resolution
        except Exception as error:  # a damaged file can raise anything
            raise ConfigError(f"features.weights: {path} is no TorchScript file of CLIP: {brief(error)}") from error
        if found != MODELS[self.model]:
            raise ConfigError(
                f"features.weights: {path} has {found[0]} features at {found[1]} pixels; {self.model} has "
                f"{self.dimension} at {self.side}"
            )
        return network
