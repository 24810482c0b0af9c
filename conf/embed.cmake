# cmake -DINPUT=FILE -DOUTPUT=FILE.cc -P embed.cmake: a text file as vignette::conf::kQuickstart.
file(READ ${INPUT} TEXT)
file(WRITE ${OUTPUT} "#include <string_view>

namespace vignette::conf {
extern const std::string_view kQuickstart;
const std::string_view kQuickstart = R\"toml(${TEXT})toml\";
}  // namespace vignette::conf
")
