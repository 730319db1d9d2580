"""The names under which runs log to W&B what the dashboard shows; nowhere else does it say one."""

STEP = "trainer/global_step"  # what all curves are drawn against

# of train.py, while it trains
LOSS, HELD_OUT = "train/loss", "val/loss"
QUARTERS = ("train/loss_q0", "train/loss_q1", "train/loss_q2", "train/loss_q3")
GRAD_NORM, LEARNING_RATE = "train/grad_norm", "train/lr"
SPEED, MEMORY = "train/images_per_second", "train/memory_gb"
LOOK = "val/bits_per_dim"

# of an evaluation; W&B's summary calls the least value of a figure FIGURE.min
BITS = "test/bits_per_dim.min"
TERMS = ("test/bits_per_dim_prior", "test/bits_per_dim_diffusion", "test/bits_per_dim_decoder")
TRUNCATED = "test/bits_per_dim_truncated"
CALLS = "test/network_calls"
SECONDS = "seconds/evaluate"

# pictures
GRID, STRIP, TIMES = "samples/grid", "samples/denoising", "train/times"

# tables, and their columns that are drawn
FINAL = "summary/final"
BY_STEP = ("likelihood/terms_table", "step", "bits_per_dim_of_a_step")
EVALUATIONS = "quality"
BY_CALLS, BY_LENGTH = "quality/{distance}_table", "ema_length/{distance}_table"
NETWORK_CALLS, LENGTH, SETTINGS = "network calls", "EMA length", "settings"
