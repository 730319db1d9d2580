"""Data sets, each with its shape, classes, levels, scaling, split and licence."""

from difflab.data.arrays import Arrays
from difflab.data.augmentation import Augmentation
from difflab.data.batches import Batch
from difflab.data.celeba import CelebA
from difflab.data.checkerboard import Checkerboard
from difflab.data.digits import Digits
from difflab.data.edm_augmentation import EDMAugmentation
from difflab.data.gaussian_mixture import GaussianMixture
from difflab.data.hf import HubImages, HubStream, open_hub
from difflab.data.image_data import ImageData, Images
from difflab.data.image_folder import ImageFolder
from difflab.data.indexed import Indexed
from difflab.data.largest_distance import largest_distance
from difflab.data.noisy_curves import SwissRoll, TwoMoons
from difflab.data.pinwheel import Pinwheel
from difflab.data.pixels import FilePixels, Pixels
from difflab.data.point_data import PointData, Points
from difflab.data.scaling import Plain, Scaling
from difflab.data.shards import RemoteShards, Shards, open_shards
from difflab.data.statistics import Statistics
from difflab.data.streamed import Streamed
from difflab.data.svhn import SVHN
from difflab.data.torchvision_sets import CIFAR10, MNIST, FashionMNIST

__all__ = [
    "CIFAR10",
    "MNIST",
    "SVHN",
    "Arrays",
    "Augmentation",
    "Batch",
    "CelebA",
    "Checkerboard",
    "Digits",
    "EDMAugmentation",
    "FashionMNIST",
    "FilePixels",
    "GaussianMixture",
    "HubImages",
    "HubStream",
    "ImageData",
    "ImageFolder",
    "Images",
    "Indexed",
    "Pinwheel",
    "Pixels",
    "Plain",
    "PointData",
    "Points",
    "RemoteShards",
    "Scaling",
    "Shards",
    "Statistics",
    "Streamed",
    "SwissRoll",
    "TwoMoons",
    "largest_distance",
    "open_hub",
    "open_shards",
]
