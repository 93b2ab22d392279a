"""Signing in as a person does."""

from playwright.async_api import Page

from tests.support.server import Account


async def sign_in(page: Page, account: Account) -> None:
    """On the sign-in page."""
    await page.get_by_label("E-mail").fill(account.email)
    await page.get_by_label("Password").fill(account.password)
    await page.get_by_role("button", name="Sign in").press("Enter")
