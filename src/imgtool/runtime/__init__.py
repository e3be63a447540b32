"""What stages need from the machine: device, dtype, attention, models, memory, journals."""
