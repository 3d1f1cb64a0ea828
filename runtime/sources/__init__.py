"""Where motion comes from: cameras, video files, a browser, a phone's tracker. `contract` says what each promises."""
