"""Data sets, each with its shape, classes, levels, scaling, split and licence."""

from difflab.data.augmentation import Augmentation
from difflab.data.batches import Batch
from difflab.data.checkerboard import Checkerboard
from difflab.data.digits import Digits
from difflab.data.gaussian_mixture import GaussianMixture
from difflab.data.image_data import ImageData, Images
from difflab.data.image_folder import ImageFolder
from difflab.data.indexed import Indexed
from difflab.data.largest_distance import largest_distance
from difflab.data.noisy_curves import SwissRoll, TwoMoons
from difflab.data.pinwheel import Pinwheel
from difflab.data.pixels import FilePixels, Pixels
from difflab.data.point_data import PointData, Points
from difflab.data.scaling import Plain, Scaling
from difflab.data.torchvision_sets import CIFAR10, MNIST, FashionMNIST

__all__ = [
    "CIFAR10",
    "MNIST",
    "Augmentation",
    "Batch",
    "Checkerboard",
    "Digits",
    "FashionMNIST",
    "FilePixels",
    "GaussianMixture",
    "ImageData",
    "ImageFolder",
    "Images",
    "Indexed",
    "Pinwheel",
    "Pixels",
    "Plain",
    "PointData",
    "Points",
    "Scaling",
    "SwissRoll",
    "TwoMoons",
    "largest_distance",
]
