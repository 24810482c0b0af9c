namespace vignette {}  // namespace vignette
