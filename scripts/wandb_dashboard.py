"""python scripts/wandb_dashboard.py [project=difflab] [group=SWEEP] [dry_run=true]: a workspace and an ablation report.

Both are saved on Weights & Biases; with dry_run=true they are written as JSON, without network and account.
"""

from difflab.runs import run

if __name__ == "__main__":
    run("wandb_dashboard", "difflab.dashboard.main")
