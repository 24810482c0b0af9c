# What every target of the project shares: language, warnings, sanitizers, and one function a folder.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(VIGNETTE_SANITIZE "" CACHE STRING "sanitizers: empty, address or thread")
option(VIGNETTE_FUZZ "build the libFuzzer targets" OFF)
option(VIGNETTE_TESTS "build the tests" ON)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(vignette_options INTERFACE)
target_include_directories(vignette_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(vignette_options INTERFACE
  -fno-omit-frame-pointer
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor
    -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi -Wdangling -Werror>)
target_link_options(vignette_options INTERFACE -fuse-ld=lld)
target_link_libraries(vignette_options INTERFACE Threads::Threads)
if(VIGNETTE_SANITIZE STREQUAL "address")
  target_compile_options(vignette_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(vignette_options INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(vignette_options INTERFACE VIGNETTE_SANITIZED=1)
elseif(VIGNETTE_SANITIZE STREQUAL "thread")
  target_compile_options(vignette_options INTERFACE -fsanitize=thread)
  target_link_options(vignette_options INTERFACE -fsanitize=thread)
  target_compile_definitions(vignette_options INTERFACE VIGNETTE_SANITIZED=1)
endif()
if(VIGNETTE_FUZZ)
  target_compile_options(vignette_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# vignette_library(NAME [DEPENDS other folders…] [EXTERNAL targets private to it…] [EXCLUDE files…])
# One folder is one static library: every .cc in the folder (sub-folders too) but those excluded.
function(vignette_library NAME)
  cmake_parse_arguments(ARG "" "" "DEPENDS;EXTERNAL;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  foreach(FILE ${ARG_EXCLUDE})
    list(REMOVE_ITEM SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/${FILE})
  endforeach()
  add_library(${NAME} STATIC ${SOURCES})
  target_link_libraries(${NAME} PUBLIC vignette_options ${ARG_DEPENDS} PRIVATE ${ARG_EXTERNAL})
endfunction()
