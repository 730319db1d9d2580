"""python scripts/export.py run=RUN_FOLDER [format=safetensors] [out=FILE]: the averaged weights of a finished run."""

from difflab.runs import run

if __name__ == "__main__":
    run("export", "difflab.runs.export")
