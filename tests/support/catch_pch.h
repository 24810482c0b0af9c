// What every Catch2 test includes and pays most for.
#pragma once

#include "cmake/pch.h"

#include <catch2/catch.hpp>
