# SPDX-License-Identifier: MIT
"""A real Chromium without a window."""

import contextlib

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from lib.process import SLOWNESS

NO_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}


@contextlib.contextmanager
def browser(directory, is_dark=False, has_scripts=True):
    """A WebDriver; errors(driver) tells what the page had to complain of."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1100,900", f"--user-data-dir={directory / 'chromium'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not has_scripts:
        options.add_experimental_option("prefs", NO_SCRIPTS)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    try:
        driver.set_page_load_timeout(30 * SLOWNESS)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]})
        yield driver
    finally:
        driver.quit()


def errors(driver):
    """What stands in the console, but for answers that are no 200: ours say 503 when not ready."""
    return [entry for entry in driver.get_log("browser")
            if "Failed to load resource" not in entry["message"]]
