"""python train.py model=unet schedule=linear ...: one run; with -m, a sweep. --help shows every choice."""

from difflab.runs import run

if __name__ == "__main__":
    run("train", "difflab.runs.train", owns_folder=True)
