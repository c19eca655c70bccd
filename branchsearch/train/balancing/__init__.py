"""How the tasks' losses become what a network is stepped along; a file per method."""
