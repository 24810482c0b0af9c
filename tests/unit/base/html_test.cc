#include "base/html.h"

#include <catch2/catch.hpp>

using vignette::escape_html;

TEST_CASE("What could leave an element or an attribute is escaped, the rest stays") {
  CHECK(escape_html("a photo.jpg") == "a photo.jpg");
  CHECK(escape_html("<img src='x' onerror=\"y\">&amp;") ==
        "&lt;img src=&#39;x&#39; onerror=&quot;y&quot;&gt;&amp;amp;");
  CHECK(escape_html("caf\xc3\xa9") == "caf\xc3\xa9");
  CHECK(escape_html("a\xff<") == "a\xef\xbf\xbd&lt;");
  CHECK(escape_html("").empty());
}
