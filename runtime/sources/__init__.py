"""Sources of motion: cameras, video files, a browser, a phone's tracker. `contract` defines the interface."""
