"""python scripts/export.py run=RUN_FOLDER [format=safetensors|diffusers|onnx] [out=PATH]: a finished run's weights."""

from difflab.runs import run

if __name__ == "__main__":
    run("export", "difflab.interop.export")
