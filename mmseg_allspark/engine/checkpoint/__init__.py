"""What a run is saved in, and how it goes on: whole files, each rank's buffers, and checks of what is loaded."""
