"""What people look at: frames, replays, pages, notebooks."""
