"""python scripts/sampler_errors.py [samplers=[ddim,heun]] [out=PICTURE.png]: error against network calls.

Every sampler on the exact denoiser of a Gaussian mixture; the numbers are written as CSV beside the picture.
"""

from difflab.runs import run

if __name__ == "__main__":
    run("sampler_errors", "difflab.studies.sampler_errors")
