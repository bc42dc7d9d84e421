"""A headless Chromium of the distribution, driven by Selenium, with a screenshot of every step.

It can connect to 127.0.0.1 only. Every wait is for something visible.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.wait import WebDriverWait

SCREENSHOTS = Path(__file__).resolve().parent / "screenshots"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # it refuses to start as root otherwise
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def program(*names: str) -> str:
    """The path of the first of these programs that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.fail(f"there is no {names[0]}: on Debian, apt-get install chromium chromium-driver")


class Browser:
    """What a user does and sees."""

    def __init__(self, seconds: float = 30.0) -> None:
        options = ChromeOptions()
        options.binary_location = program("chromium", "chromium-browser", "google-chrome")
        for argument in ARGUMENTS:
            options.add_argument(argument)
        self._driver = Chrome(options=options, service=Service(program("chromedriver")))
        self._seconds = seconds
        self._shots = 0

    def open(self, url: str) -> None:
        self._driver.get(url)

    def close(self) -> None:
        self._driver.quit()

    @property
    def address(self) -> str:
        return str(self._driver.current_url)

    def wait(self, condition: Callable[[Any], Any], what: str) -> Any:
        """Wait for a condition of Selenium; where it never comes, take a screenshot and fail."""
        try:
            # The page may draw an element again between two questions about it.
            again = [StaleElementReferenceException]
            return WebDriverWait(self._driver, self._seconds, 0.1, again).until(condition)
        except TimeoutException:
            self.shot("failed")
            text = self._driver.find_element(By.TAG_NAME, "body").text
            raise AssertionError(f"this never came: {what}\n{self.address}\n{text}") from None

    def see(self, xpath: str) -> WebElement:
        """Wait until something is visible."""
        element: WebElement = self.wait(
            until.visibility_of_element_located((By.XPATH, xpath)), f"visible: {xpath}"
        )
        return element

    def scroll_to_end(self, xpath: str) -> None:
        script = "arguments[0].scrollTop = arguments[0].scrollHeight"
        self._driver.execute_script(script, self.see(xpath))

    def see_text(self, text: str) -> WebElement:
        return self.see(f"//*[normalize-space(text())={text!r}]")

    def click(self, xpath: str) -> None:
        """Wait until something can be clicked, and click it."""
        self.wait(until.element_to_be_clickable((By.XPATH, xpath)), f"clickable: {xpath}").click()

    def type(self, name: str, text: str) -> None:
        """Fill a field of a form."""
        self.see(f"//input[@name={name!r}]").send_keys(text)

    def is_chosen(self, name: str) -> bool:
        """Whether a checkbox is set. It is drawn by something else, and not visible itself."""
        located = (By.XPATH, f"//input[@name={name!r}]")
        return bool(self.wait(until.presence_of_element_located(located), name).is_selected())

    def choose(self, name: str) -> None:
        """Set a checkbox."""
        self.click(f"//label[.//input[@name={name!r}]]")
        self.wait(lambda _: self.is_chosen(name), f"{name} is chosen")

    def ask(self, script: str, what: str) -> Any:
        """Wait until JavaScript on the page returns something; return that."""
        return self.wait(lambda driver: driver.execute_script(script), what)

    def resize(self, width: int, height: int) -> None:
        """Make the window that large, with its frame."""
        self._driver.set_window_size(width, height)

    def save(self, path: Path) -> None:
        """Write what can be seen now to a PNG file."""
        assert self._driver.save_screenshot(str(path)), path

    def shot(self, name: str) -> None:
        """Keep what can be seen now."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self._shots += 1
        self.save(SCREENSHOTS / f"{self._shots:02}-{name}.png")
