"""The Inception network of FID, KID and the Inception Score."""

from io import BytesIO

import torch
from torch import nn

from difflab.errors import ConfigError
from difflab.features.pretrained import Pretrained
from difflab.features.weights import brief, obtain, read

PUBLISHED = "6726825d"
FILE = f"weights-inception-2015-12-05-{PUBLISHED}.pth"


class Inception(Pretrained):
    """Inception-v3 as converted from TensorFlow's graph of 2015-12-05: the one of Heusel et al. (2017).

    Network, TensorFlow-1 resize to 299x299 and scaling (x - 128) / 128 are torch-fidelity's; features are the 2048
    after the last pooling, logits those without the bias (1008 classes), as in Salimans et al. (2016).

    Args:
        weights: path of a file; None looks in torch's cache and downloads it there.
        sha256: first digits of the file's hash; None takes any file that fits, and its figures are not called fid.
        batch: pictures the network sees at once.
    """

    name = "inception"
    dimension = 2048
    preprocessing = "torch-fidelity, bilinear as TensorFlow 1 to 299x299, (x - 128) / 128"

    def __init__(self, weights: str | None, sha256: str | None, batch: int) -> None:
        super().__init__(batch)
        self.weights, self.sha256 = weights, sha256
        self.published = sha256 is not None and sha256.startswith(PUBLISHED)

    def load(self) -> nn.Module:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        from difflab.features.inception_network import Network

        path = obtain(self.weights, FILE, URL_INCEPTION_V3, self.sha256)
        plain = BytesIO()  # torch-fidelity unpickles whatever it is given: it is given what was read without unpickling
        torch.save(read(path), plain)
        plain.seek(0)
        try:
            return Network(self.name, ["2048", "logits_unbiased"], plain)
        except RuntimeError as error:
            raise ConfigError(
                f"features.weights: {path} does not fit torch-fidelity's Inception: {brief(error)}"
            ) from error
