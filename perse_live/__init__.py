"""The core of perse-live, shared by all stages: the avatar, the head, cameras, splatting, model assets, the command line."""
