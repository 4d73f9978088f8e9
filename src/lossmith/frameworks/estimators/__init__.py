"""Linear models as scikit-learn estimators, under any loss and any penalty; public as ``lossmith.LossRegressor`` ..."""
