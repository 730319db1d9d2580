"""Data sets, each with its shape, classes, levels, scaling, split and licence."""

from difflab.data.digits import Digits
from difflab.data.image_data import Batch, ImageData, Images
from difflab.data.image_folder import ImageFolder
from difflab.data.scaling import Scaling
from difflab.data.torchvision_sets import CIFAR10, MNIST, FashionMNIST

__all__ = ["CIFAR10", "MNIST", "Batch", "Digits", "FashionMNIST", "ImageData", "ImageFolder", "Images", "Scaling"]
