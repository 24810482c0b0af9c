// Gives the precompiled header of pch.h a target to belong to.
