"""What a loss is: hyper-parameters, the input contract, traits, reduction, registry."""
