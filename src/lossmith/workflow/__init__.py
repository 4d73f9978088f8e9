"""The eight steps as one resumable run."""
