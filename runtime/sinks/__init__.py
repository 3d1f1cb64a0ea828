"""Where drawn frames go: virtual camera, recording, preview window. `contract` says what each promises."""
