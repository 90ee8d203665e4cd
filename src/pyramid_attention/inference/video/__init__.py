"""Videos and cameras: frames in, label maps and overlays with the same time stamps out.

Needs PyAV (extra `video`); smoothing needs OpenCV, which the extra brings, too.
"""
