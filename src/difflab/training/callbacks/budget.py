"""trainer.max_time: a budget of wall-clock time for the training of a run, whatever number of parts it has."""

import logging
from datetime import timedelta
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from difflab.data import Batch
from difflab.errors import ConfigError

log = logging.getLogger(__name__)


class Budget(Timer):
    """Training ends after the optimizer step in which its time is over; the final evaluation follows.

    Validation, pictures and checkpoints on the way count, the time between the parts of a resumed run and the final
    evaluation do not. The time used is in every checkpoint: a run that has none left goes on with a longer budget.

    Args:
        max_time: DD:HH:MM:SS, or Lightning's {hours: 1}; None for no end.

    Raises:
        ConfigError: for anything else, and for no time at all.
    """

    def __init__(self, max_time: str | dict[str, int] | None) -> None:
        try:
            super().__init__(max_time)
        except (MisconfigurationException, TypeError):
            allowed = "allowed are DD:HH:MM:SS (days, hours, minutes, seconds), such as 00:12:00:00"
            raise ConfigError(f"trainer.max_time: {max_time}; {allowed}") from None
        left = self.time_remaining()
        if left is not None and left <= 0:
            raise ConfigError(f"trainer.max_time: {max_time}; allowed are times above 0")

    def on_fit_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        super().on_fit_start(trainer)
        self.tell(trainer, "by the parts of the run before this one")

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if (batch.step + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer)
            self.tell(trainer, f"after step {trainer.global_step}")

    def tell(self, trainer: Trainer, when: str) -> None:
        """That the time is over, where it is."""
        left = self.time_remaining()
        if trainer.should_stop and left is not None and left <= 0 and trainer.is_global_zero:
            used = timedelta(seconds=round(self.time_elapsed()))
            log.warning("trainer.max_time: used up %s (%s); a longer one goes on", when, used)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.time_elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._offset = state_dict["seconds"]
