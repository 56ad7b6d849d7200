"""Deep networks of ReL-PSP neurons: the scenario stdbp."""
