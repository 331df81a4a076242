"""A picture of a page for the documents: its upper part in headless Chromium, as a PNG of few colours.

python -m benchmarks.screenshot PAGE.html PICTURE.png [--width 1000] [--height 1500]
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver


def main():
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page")
    parser.add_argument("picture")
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--height", type=int, default=1500)
    arguments = parser.parse_args()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        size = {"width": arguments.width, "height": arguments.height, "deviceScaleFactor": 1, "mobile": False}
        light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
        driver.get(Path(arguments.page).resolve().as_uri())
        content = driver.get_screenshot_as_png()
        driver.quit()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(128).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
