"""TensorBoard: a training's curves as event files."""

from __future__ import annotations

from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Writes ``FOLDER/tensorboard/``; ``tensorboard --logdir FOLDER`` shows it.

    Steps are counted over all epochs. Of an epoch that is trained again, TensorBoard shows the
    later values.
    """

    def __init__(self) -> None:
        from tensorboardX import SummaryWriter

        self._make, self._writer = SummaryWriter, None

    def on_start(self, plan: Plan) -> None:
        done = plan.epoch * plan.steps_per_epoch
        self._writer = self._make(str(plan.folder / "tensorboard"), purge_step=done + 1)

    def on_epoch(self, record: EpochRecord) -> None:
        if self._writer is not None:
            for name, value in record.numbers().items():
                self._writer.add_scalar(name, value, record.step)
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
