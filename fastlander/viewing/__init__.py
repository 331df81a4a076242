"""What people look at: flights, traces of them, pages, notebooks, videos."""
