"""DINOv2, trained on photographs without labels: features that know less of ImageNet's classes than Inception's."""

from torch import nn

from difflab.errors import ConfigError
from difflab.features.pretrained import Pretrained
from difflab.features.weights import brief, checkpoints, obtain, patience, read

MODELS = {"dinov2-vit-s-14": 384, "dinov2-vit-b-14": 768, "dinov2-vit-l-14": 1024, "dinov2-vit-g-14": 1536}
CODE = "https://github.com/facebookresearch/dinov2"
FOLDER = "facebookresearch_dinov2_main"


class DINOv2(Pretrained):
    """The class token of Oquab et al. (2023) at 224x224, through torch-fidelity and torch.hub.

    The network is the authors' code, which torch.hub downloads and runs; the weights have no published hash.
    For generative models: Stein et al. (2023).

    Args:
        model: torch-fidelity's name of it.
        batch: pictures the network sees at once.

    Raises:
        ConfigError: for a model that is not there.
    """

    name = "dinov2"

    def __init__(self, model: str, batch: int) -> None:
        super().__init__(batch)
        if model not in MODELS:
            raise ConfigError(f"features.model: {model}; allowed are {', '.join(MODELS)}")
        self.model, self.dimension = model, MODELS[model]
        self.preprocessing = f"torch-fidelity, {model}, bilinear as TensorFlow 1 to 224x224"

    def load(self) -> nn.Module:
        from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA, FeatureExtractorDinoV2

        theirs = MODEL_METADATA[self.model]
        url = f"https://dl.fbaipublicfiles.com/dinov2/{theirs}/{theirs}_pretrain.pth"
        path = obtain(None, f"{theirs}_pretrain.pth", url, None)
        state = read(path)  # the authors' code would unpickle it, and leave out what does not fit
        try:
            with patience():
                network = FeatureExtractorDinoV2(self.model, ["dinov2"])
        except Exception as error:  # it is downloaded code
            raise ConfigError(
                f"features: dinov2 runs its authors' code, which does not run here ({brief(error)}); put {CODE}, "
                f"branch main, into {checkpoints().parent} as the folder {FOLDER}"
            ) from error
        try:
            network.model.load_state_dict(state)
        except RuntimeError as error:
            raise ConfigError(f"features.weights: {path} does not fit {theirs}: {brief(error)}") from error
        return network
