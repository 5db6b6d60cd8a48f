"""The first ten minutes as people live them: one story through eleven consoles in a real browser, over real processes."""

import pytest

from tests.browsing import chromium
from tests.consoles import kept_town
from tests.story import staged, tell


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")
def test_the_whole_story_is_lived_through_in_a_browser(tmp_path_factory):
    with staged(kept_town(tmp_path_factory)) as stage:
        tell(stage)
