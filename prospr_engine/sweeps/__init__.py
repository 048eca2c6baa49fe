"""Many runs that differ in what is compared: criteria, sparsities, seeds, steps, controls."""
