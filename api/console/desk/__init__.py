"""Pages beside an asker's keys: results are opened here, and nowhere else."""
