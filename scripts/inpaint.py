"""python scripts/inpaint.py run=RUN_FOLDER mask=center n=16 seed=0: test images with parts of them made anew."""

from difflab.runs import run

if __name__ == "__main__":
    run("inpaint", "difflab.runs.inpaint")
