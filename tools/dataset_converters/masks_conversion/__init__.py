"""Read annotations of several tools and write label maps.

Few libraries help here. datumaro reads all of these formats, but installs
470 MB, pins older versions of Pillow, and replaces opencv-python; labelme
installs a user interface and ONNX Runtime. pycocotools rounds coordinates to a
fifth of a pixel, decodes run lengths that end early to random pixels, and
breaks MMPretrain next to transformers 5. OpenCV and Pillow also paint the
outline of a polygon. So the shapes are filled with NumPy.
"""
