"""What looks after the house: its drawing, its documentation site and the length of its lines."""
