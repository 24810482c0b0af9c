# What every target of the project shares: language, warnings, sanitizers, precompiled headers, and one
# function each for a folder, a program, a test binary and a fuzz target.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(VIGNETTE_SANITIZE "" CACHE STRING "sanitizers: empty, address or thread")
option(VIGNETTE_FUZZ "build the libFuzzer targets" OFF)
option(VIGNETTE_TESTS "build the tests" ON)
option(VIGNETTE_PCH "precompile the heavy std, fmt and Catch2 headers" ON)
option(VIGNETTE_BATCH "compile a folder's sources a batch at a time: half the work for a whole tree, more for one change" OFF)

# The name of this tree, which prefixes its tests: release, debug, asan, tsan or fuzz.
if(VIGNETTE_FUZZ)
  set(VIGNETTE_TREE fuzz)
elseif(VIGNETTE_SANITIZE STREQUAL "address")
  set(VIGNETTE_TREE asan)
elseif(VIGNETTE_SANITIZE STREQUAL "thread")
  set(VIGNETTE_TREE tsan)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(VIGNETTE_TREE release)
else()
  set(VIGNETTE_TREE debug)
endif()

# ccache sees through a precompiled header only with these words, and clang must not store a time in it.
find_program(CCACHE ccache)
if(CCACHE)
  set(LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LAUNCHER})
  set(CMAKE_C_COMPILER_LAUNCHER ${LAUNCHER})
endif()

# Files of a batch whose names clash are compiled one by one all the same.
if(VIGNETTE_BATCH)
  list(PREPEND CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/scripts/compile-batch)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)  # every folder's, and the precompiled headers'

add_library(vignette_options INTERFACE)
target_include_directories(vignette_options INTERFACE ${CMAKE_SOURCE_DIR})
# Everything ends in an executable: one -fPIE for all, so that libraries and programs share precompiled headers.
target_compile_options(vignette_options INTERFACE
  -fPIE -fno-omit-frame-pointer
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor
    -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi -Wdangling -Werror>)
target_link_options(vignette_options INTERFACE -fuse-ld=lld -pie)
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

if(VIGNETTE_PCH)
  target_compile_options(vignette_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>)
  add_library(vignette_pch OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cc)
  target_link_libraries(vignette_pch PRIVATE vignette_options fmt::fmt)
  target_precompile_headers(vignette_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
endif()

# vignette_precompiled(TARGET): TARGET's C++ sources start from the common precompiled header.
function(vignette_precompiled TARGET)
  if(VIGNETTE_PCH)
    target_precompile_headers(${TARGET} REUSE_FROM vignette_pch)
  endif()
endfunction()

# vignette_batched(TARGET): its sources are compiled in batches where VIGNETTE_BATCH says so.
function(vignette_batched TARGET)
  if(VIGNETTE_BATCH)
    set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10)
  endif()
endfunction()

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
  vignette_precompiled(${NAME})
  vignette_batched(${NAME})
endfunction()

# vignette_program(NAME SOURCES files… [DEPENDS targets…] [ALLOCATOR])
# A program in the root of the build tree. ALLOCATOR links jemalloc, in the release tree only: sanitizers
# bring their own. The program's own code then sees VIGNETTE_JEMALLOC=1.
function(vignette_program NAME)
  cmake_parse_arguments(ARG "ALLOCATOR" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_link_libraries(${NAME} PRIVATE vignette_options ${ARG_DEPENDS})
  vignette_precompiled(${NAME})
  if(ARG_ALLOCATOR)
    vignette_jemalloc(${NAME})
  endif()
endfunction()

# vignette_jemalloc(TARGET): links jemalloc first and keeps it although nothing names it; release tree only.
function(vignette_jemalloc TARGET)
  if(VIGNETTE_TREE STREQUAL "release")
    pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
    target_link_options(${TARGET} PRIVATE LINKER:--no-as-needed,-ljemalloc,--as-needed)
    target_link_libraries(${TARGET} PRIVATE PkgConfig::JEMALLOC)
    target_compile_definitions(${TARGET} PRIVATE VIGNETTE_JEMALLOC=1)
  endif()
endfunction()
