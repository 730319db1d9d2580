"""What studies of points in the plane ask of a run."""

from difflab.data import PointData
from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.runs.assemble import Parts


def plane(parts: Parts, study: str) -> PointData:
    """The data of a run, where they are points of the plane.

    Raises:
        ConfigError: where they are not.
    """
    if not isinstance(parts.data, PointData):
        raise ConfigError(f"study: {study} draws points of the plane; allowed with data=swiss_roll and its like")
    return parts.data


def mixture(parts: Parts, study: str) -> Mixture:
    """The law of the data of a run, where it is a mixture of Gaussians of the plane.

    Raises:
        ConfigError: where it is not.
    """
    law = plane(parts, study).distribution
    if not isinstance(law, Mixture):
        raise ConfigError(f"study: {study} needs the exact score of a mixture; allowed with data=gaussian_mixture")
    return law
