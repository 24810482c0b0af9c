// Gives the precompiled header of catch_pch.h a target to belong to.
