"""python scripts/report.py runs=SWEEP_FOLDER: which choice was better, and is the difference real?"""

from difflab.runs import run

if __name__ == "__main__":
    run("report", "difflab.report.command")
