"""python scripts/cost.py [experiments=[cifar10_edm]] [utilisation=0.35] [out=FILE.json]: what recipes cost, counted.

Nothing is trained and no data is read: networks without numbers in them tell how many operations they need.
"""

from difflab.runs import run

if __name__ == "__main__":
    run("cost", "difflab.runs.cost")
